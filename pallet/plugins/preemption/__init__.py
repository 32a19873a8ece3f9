"""The parts of DefaultPreemption, in the order in which an attempt uses them:

    victims      the pods of each row by importance; `budgets` tells which of them are guarded
    candidates   which rows are candidates, remembered until a row changes
      dry_run      all rows at once by sums of requests; where other filters read pods, rows on a fork
      refusals     where it cannot help, told without a dry run
      ranking      how good candidates are; pick one node
    extenders    whether extenders agree to the candidates
    executor     victims are deleted, and lower nominations cleared

Extenders and the executor do I/O, in tasks, during which the preemptor is kept out of the queue. The others
are pure: they decide on the snapshot that they are given, which may be a fork, and do not change it.
"""
