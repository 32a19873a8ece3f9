"""gRPC takes 19 MiB: a process without pod sets needs it not."""

import sys
from subprocess import run

PROGRAM = "import sys, pallet.app.life; print('grpc' in sys.modules)"


def test_the_program_imports_no_grpc_before_it_is_configured() -> None:
    answer = run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert answer.stdout.strip() == "False"
