"""The paper's tables and figures as runs that anyone can start, stop, continue and spread over machines.

``scenarios`` has what each table asks for and what the paper prints; ``budgets`` how much of it is run; ``plan`` makes
one configuration per run; ``cost`` says what they take; ``run`` runs those that are missing and writes ``tables`` and
``figures`` from all that have finished.
"""
