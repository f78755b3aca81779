"""A Semaphore wakes in order, but who runs takes first: the releaser itself, before any waiter."""
import gevent
from gevent.lock import BoundedSemaphore, Semaphore

lock = Semaphore(1)


def worker(name):
    for number in (1, 2):
        lock.acquire()
        print(name, number)
        gevent.sleep(0)
        lock.release()


gevent.joinall([gevent.spawn(worker, name) for name in 'abc'])


def once(name):
    with lock:
        print(name, 'in')
        gevent.sleep(0)
    print(name, 'out')


gevent.joinall([gevent.spawn(once, name) for name in 'abc'])

two = Semaphore(2)
print('acquired', two.acquire(), two.acquire(), 'locked', two.locked())
print('without waiting:', two.acquire(blocking=False), 'timed out:', two.acquire(timeout=0.02))
gevent.spawn_later(0.02, two.release)
print('wait:', two.wait(), 'acquired:', two.acquire())

bounded = BoundedSemaphore(1)
bounded.acquire()
bounded.release()
try:
    bounded.release()
except ValueError:
    print('released too often')
