"""``datatoken doctor``: looks at an installation and says what is wrong and how to mend it.

Engines add checks of their own by the entry point group ``datatoken.doctor``: a function
without arguments that returns findings.
"""

from datatoken.doctor.findings import Finding, State, worst

__all__ = ["Finding", "State", "worst"]
