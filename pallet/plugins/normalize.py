"""Bringing scores to the common scale, as kube-scheduler's DefaultNormalizeScore does."""

from pallet.framework.interface import MAX_SCORE, Scores


def to_scale(scores: Scores, high: int) -> Scores:
    """The highest score becomes MAX_SCORE, the others in proportion, rounded down; all 0 stay 0."""
    return scores if high == 0 else MAX_SCORE * scores // high


def to_reversed_scale(scores: Scores, high: int) -> Scores:
    """The same the other way round: the highest becomes 0, and 0 becomes MAX_SCORE."""
    return MAX_SCORE - to_scale(scores, high)
