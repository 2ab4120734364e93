"""What accuracy costs: recipes x data sets x normal classes x seeds, in ``make accuracy``.

A *table* is a YAML file that lists *trials*: a recipe with some options changed. Each trial is run for every normal
class and seed of its data, in a run directory of its own that is found again by its configuration. ``trials`` reads
tables, ``plan`` makes configurations of them, ``hscl_fast.many_runs`` runs them side by side in processes of ``one``,
``record`` reads the figures of a run, ``results`` keeps them in ``benchmarks/results/accuracy.json``, and ``page``
writes ``docs/accuracy.md`` from that file alone.
"""
