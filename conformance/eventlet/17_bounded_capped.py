"""A BoundedSemaphore refuses a release too many; a CappedSemaphore's release waits for an acquire."""
import eventlet
from eventlet.semaphore import BoundedSemaphore, CappedSemaphore

bounded = BoundedSemaphore(1)
bounded.acquire()
bounded.release()
try:
    bounded.release()
except ValueError:
    print('released too often')

capped = CappedSemaphore(1, 2)
print('balance', capped.balance, 'locked', capped.locked(), 'bounded', capped.bounded())
capped.release()
print('balance', capped.balance, 'locked', capped.locked(), 'bounded', capped.bounded())
print('release without waiting:', capped.release(blocking=False))


def releaser():
    print('release waits')
    capped.release()
    print('released, balance', capped.balance)


thread = eventlet.spawn(releaser)
eventlet.sleep(0.02)
print('acquire')
capped.acquire()
print('acquired, balance', capped.balance)
thread.wait()


def acquirer():
    for number in (1, 2, 3):
        capped.acquire()
        print('acquired', number)


thread = eventlet.spawn(acquirer)
eventlet.sleep(0.02)
print('release')
capped.release()
thread.wait()
