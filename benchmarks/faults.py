"""Sixty faults between sparsedet and a real Label Studio: are boxes duplicated or lost?

    python benchmarks/faults.py [--list] [--only KIND/OPERATION]

An HTTP proxy sits between the command line and the server. Each fault gets a small project, and
hits one request of a push, a draft push, a merge or an undo: the connection is cut, the server
refuses, answers late or never, either side is killed, a person saves at the same moment. Then the
command is repeated without faults until it succeeds, as a user would, and the server's content is
compared with the plan (see `faults/server_state.py`).

Prints a table and writes `benchmarks/results/faults.json`. The exit code is 1 if anything is
duplicated or lost, if a command never succeeds, or if a fault found no request to hit. Needs the
server of `make label-studio`; takes about 15 minutes on two CPU cores.
"""

if __name__ == "__main__":
    from faults.fault_run import main

    main(__doc__)
