"""kill waits for the victim's end; with block=False the victim sees it only in the next turn."""
import gevent


def victim(name):
    try:
        gevent.sleep(1)
    finally:
        print(name, 'dies')


a, b, c = (gevent.spawn(victim, name) for name in 'abc')
gevent.sleep(0)
print('kill a')
a.kill()
print('a was killed:', a.dead)
print('kill b without waiting')
b.kill(block=False)
print('b not yet:', b.dead)
c.kill(block=False)
c.kill(block=False)
print('killed twice, c not yet:', c.dead)
gevent.sleep(0)
print('a turn later:', b.dead, c.dead)
c.kill()
print('kill of the dead does nothing')
