"""Who is killed before its start never runs; its links do, and its value is the exit."""
import gevent
from gevent import GreenletExit


def told(name):
    return lambda task: print(name, 'hears of a kill:', isinstance(task.value, GreenletExit))


waited = gevent.spawn(print, 'never printed')
waited.link(told('link'))
waited.rawlink(told('rawlink'))
print('kill')
waited.kill()
print('killed: dead', waited.dead, 'successful', waited.successful())
gevent.sleep(0)

scheduled = gevent.spawn(print, 'never printed')
scheduled.link(told('second link'))
scheduled.kill(block=False)
print('kill without waiting: dead at once:', scheduled.dead)
gevent.sleep(0.02)

before = gevent.spawn(print, 'spawned before runs')
victim = gevent.spawn(print, 'never printed')
victim.kill()
print('killed; no thread ran meanwhile:', not before.dead)
before.join()
