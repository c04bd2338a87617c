"""Run-config keys that launchers add and gates take out again. Hints: where to look, no more."""

JOB_KEY = "datatoken-job"
"""The job that a run belongs to."""

REQUEST_KEY = "datatoken-request"
"""Digest of the signed compute request, where no composite announces one."""

RESUME_KEY = "datatoken-resume"
"""True: the SuperLink starts the run from the job's last logged aggregate."""
