"""What the scheduler shows of itself over HTTPS: health, metrics, configuration."""
