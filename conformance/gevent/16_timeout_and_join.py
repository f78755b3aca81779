"""A Timeout ends a wait for another and leaves the other alone; it cannot interrupt who computes."""
import time

import gevent


def slow():
    gevent.sleep(0.06)
    print('slow ends')
    return 'slow'


task = gevent.spawn(slow)
try:
    with gevent.Timeout(0.02):
        task.join()
        print('never printed')
except gevent.Timeout:
    print('join timed out, the task runs:', not task.dead)
print('get:', task.get())


def compute(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


try:
    with gevent.Timeout(0.02):
        compute(0.06)
        print('computed past the time-out')
        gevent.sleep(0)
        gevent.sleep(0.02)
        print('never printed')
except gevent.Timeout:
    print('raised at the next wait')
with gevent.Timeout(0.02):
    compute(0.06)
print('no wait, no time-out')


def raises():
    with gevent.Timeout(0.02):
        gevent.sleep(1)


task = gevent.spawn(raises)
task.join()
print('in a greenlet: successful', task.successful(), 'timed out', isinstance(task.exception, gevent.Timeout))
