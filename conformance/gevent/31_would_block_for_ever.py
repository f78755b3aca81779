"""Who waits in the main greenlet when nothing can happen any more is told so, and may go on."""
import gevent
from gevent.event import Event
from gevent.exceptions import LoopExit
from gevent.lock import Semaphore
from gevent.queue import Queue

event = Event()


def waits():
    print('the other waits')
    event.wait()
    print('the other goes on')


task = gevent.spawn(waits)
waits_for = (('join', task.join), ('event', event.wait), ('get', Queue().get), ('acquire', Semaphore(0).acquire))
for name, wait in waits_for:
    try:
        wait()
    except LoopExit:
        print(name, 'would block for ever')
timer = gevent.get_hub().loop.timer(0.02, ref=False)
timer.start(print, 'never printed')
try:
    event.wait()
except LoopExit:
    print('an unreferenced timer is no reason to wait')
timer.close()
print('with a limit it waits:', event.wait(timeout=0.02))
print('the other is still there:', not task.dead)
event.set()
task.join()
print('joined')
