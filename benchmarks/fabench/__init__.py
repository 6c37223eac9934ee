"""The benchmark harness: starts servers, compares their answers, loads and measures them.

Standard library only, so that any Python from 3.11 runs it; the servers it measures live
in an environment of their own (``.venv-bench``).
"""
