"""The parts of DefaultPreemption: whom to preempt, where, and how it is done.

    importance ─→ ladder ─┬→ survey (all nodes at once) ──────┬→ finding ─→ eviction
    budgets ──────────────┴→ trials (one node after the other)┘

A survey lets pods return (`returning`) and ranks the rows (`contest`); trials leave out the rows where pods
`elsewhere` decide. Where extenders have a say, `consulting` comes before `eviction`. All but these two is
pure: it decides on the snapshot, and changes nothing that lasts.
"""
