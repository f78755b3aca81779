"""An RLock is taken again by its owner, and free for others once it was released as often."""
import gevent
from gevent.lock import RLock

lock = RLock()


def owner():
    with lock:
        with lock:
            print('owner has it twice')
            gevent.sleep(0.02)
        print('owner has it once')
        gevent.sleep(0.02)
    print('owner has it no more')


def other(name):
    print(name, 'tries:', lock.acquire(blocking=False))
    with lock:
        print(name, 'has it')


def stranger():
    try:
        lock.release()
    except RuntimeError:
        print('a stranger cannot release it')


gevent.joinall([gevent.spawn(owner), gevent.spawn(other, 'a'), gevent.spawn(other, 'b'), gevent.spawn(stranger)])
