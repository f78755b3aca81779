"""iwait gives objects as they become ready, wait all or the first few of them, events as well as tasks."""
import gevent
from gevent.event import Event


def child(name, wait_s):
    gevent.sleep(wait_s)
    return name


def spawn(*delays_s):
    return [gevent.spawn(child, f'after {delay_s * 1000:.0f} ms', delay_s) for delay_s in delays_s]


for task in gevent.iwait(spawn(0.06, 0.02, 0.04)):
    print('iwait:', task.value)
first = gevent.wait(spawn(0.06, 0.02, 0.04), count=1)
print('wait for one:', *[task.value for task in first])

event, (task,) = Event(), spawn(0.02)
gevent.spawn_later(0.04, event.set)
names = {id(event): 'event', id(task): 'task'}
print('both kinds:', *[names[id(one)] for one in gevent.wait([event, task])])
print('timed out, ready:', len(gevent.wait([Event()], timeout=0.02)))
ready = spawn(0, 0)
gevent.sleep(0.02)
print('ready before:', len(gevent.wait(ready)))
gevent.spawn_later(0.02, print, 'the last that could happen')
print('wait for nothing in particular:', gevent.wait())
