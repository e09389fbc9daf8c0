"""autocron on PostgreSQL: the queue of procrastinate, and the tables of autocron beside it.

``pip install "autocron[postgres]"``; Python 3.10 or newer. What stands where is told in
``docs/architecture.md``.
"""
