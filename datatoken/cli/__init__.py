"""The command ``datatoken``: one thin module a command; the work is done in roles and trace."""
