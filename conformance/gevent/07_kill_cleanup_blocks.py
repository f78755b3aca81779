"""A killed greenlet may wait in its cleanup; kill waits for all of it, others run meanwhile."""
import gevent


def victim(name, wait_s):
    try:
        gevent.sleep(1)
    finally:
        print(name, 'cleans up')
        gevent.sleep(wait_s)
        print(name, 'cleaned up')


def other():
    gevent.sleep(0.02)
    print('the other runs')


a, b = gevent.spawn(victim, 'a', 0.04), gevent.spawn(victim, 'b', 0.04)
gevent.sleep(0)
gevent.spawn(other)
a.kill()
print('a killed')
b.kill(timeout=0.02)
print('b cleans longer than kill waited, dead:', b.dead)
b.join()
print('b ended, dead:', b.dead)

twice = gevent.spawn(victim, 'twice', 1)
gevent.sleep(0)
twice.kill(block=False)
gevent.sleep(0.02)
twice.kill()
print('a second kill ended the cleanup')
