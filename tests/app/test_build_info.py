from pallet.app.build_info import show_build
from pallet.framework.instruments import Instruments


def test_the_version_is_shown_with_the_labels_of_kubernetes() -> None:
    instruments = Instruments()
    show_build(instruments, "0.1.0", "abc")
    (metric,) = instruments.collect()
    (sample,) = metric.samples
    assert (metric.name, sample.value) == ("kubernetes_build_info", 1)
    assert sample.labels["git_version"] == "v0.1.0"
    assert set(sample.labels) == {
        *("major", "minor", "git_version", "git_commit", "git_tree_state"),
        *("build_date", "go_version", "compiler", "platform"),
    }
