"""A Semaphore is handed over: who releases and takes again comes behind those who wait."""
import eventlet
from eventlet.semaphore import Semaphore

lock = Semaphore(1)


def worker(name):
    for number in (1, 2):
        lock.acquire()
        print(name, number, 'waiting', -lock.balance)
        eventlet.sleep(0)
        lock.release()


for thread in [eventlet.spawn(worker, name) for name in 'abc']:
    thread.wait()
print('free', lock.balance)


def once(name):
    with lock:
        print(name, 'in')
        eventlet.sleep(0.02)
    print(name, 'out')


for thread in [eventlet.spawn(once, name) for name in 'abc']:
    thread.wait()
two = Semaphore(2)
print('acquired', two.acquire(), two.acquire(), 'locked', two.locked())
print('without waiting:', two.acquire(blocking=False), 'timed out:', two.acquire(timeout=0.02))
eventlet.spawn_after(0.02, two.release)
print('acquired', two.acquire(), 'locked', two.locked())
victim = eventlet.spawn(two.acquire)
eventlet.sleep(0)
victim.kill()
two.release()
print('who was killed waits no more:', two.balance)
