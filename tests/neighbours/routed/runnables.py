"""Runs QRunnables of PyQt5 on a thread of Qt's pool."""

import sys

import calls
from PyQt5.QtCore import QRunnable, QThreadPool


class Runnable(QRunnable):
    def __init__(self, number):
        super().__init__()
        self.number = number

    def run(self):
        calls.note(self.number)


pool = QThreadPool()
pool.setMaxThreadCount(1)
pool.setExpiryTimeout(-1)
if sys.argv[1] == "call":
    for number in range(40):
        pool.start(Runnable(number))
    pool.waitForDone()
    print(calls.summary())
else:
    for number in range(10000):
        pool.start(Runnable(number))
    pool.clear()  # but for the one that runs
