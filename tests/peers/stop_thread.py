"""Stops one thread of a process, and only that one, until stdin ends.

A signal stops a whole process; a tracer stops the thread that it attaches to.
Usage: stop_thread.py PID NAME-OF-THREAD
"""

import ctypes
import os
import sys

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17


def thread_of(pid, name):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as comm:
            if comm.read().strip() == name:
                return int(task)
    sys.exit(f"process {pid} has no thread {name}")


def main():
    thread = thread_of(int(sys.argv[1]), sys.argv[2])
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def ptrace(request):
        if libc.ptrace(request, thread, None, None) != 0:
            sys.exit(f"ptrace: {os.strerror(ctypes.get_errno())}")

    ptrace(PTRACE_SEIZE)
    ptrace(PTRACE_INTERRUPT)
    os.waitpid(thread, 0x40000000)
    print("stopped", flush=True)
    sys.stdin.read()
    ptrace(PTRACE_DETACH)


main()
