"""Other people's checks run in processes of their own.

`fork_server` loads a plugin's modules and forks a worker whenever one is asked for; `worker` runs checks in it; `host` is
the side of maestro that asks. They speak in `frames` over a socket of their own: descriptors 0, 1 and 2 of a plugin lead
nowhere, so that nothing it prints can reach a report.
"""
