"""An Event's set wakes all who wait, in order and in the next turn; a clear does not take that back."""
import gevent
from gevent.event import Event

event = Event()


def waiter(name, timeout_s=None):
    print(name, 'woke:', event.wait(timeout_s))


tasks = [gevent.spawn(waiter, name) for name in 'abc']
gevent.sleep(0)
event.set()
print('set; no waiter ran')
gevent.joinall(tasks)
waiter('at once')

event.clear()
tasks = [gevent.spawn(waiter, name) for name in 'de']
gevent.sleep(0)
event.set()
event.clear()
print('set and cleared:', event.is_set())
gevent.joinall(tasks)

waiter('timed out', 0.02)
tasks = [gevent.spawn(waiter, 'f', 1), gevent.spawn(waiter, 'g', 0.02)]
gevent.sleep(0.04)
event.set()
gevent.joinall(tasks)
event.clear()
event.rawlink(lambda who: print('link sees it set:', who.is_set()))
event.set()
print('links are called a turn later')
gevent.sleep(0)
