"""An Event is sent once; only a reset makes it new, and only one that was sent can be reset."""
import eventlet
from eventlet.event import Event


def attempt(name, what, *args):
    try:
        what(*args)
        print(name, 'worked')
    except AssertionError:
        print(name, 'is refused')


event = Event()
attempt('reset of a fresh one', event.reset)
attempt('send', event.send, 1)
attempt('second send', event.send, 2)
attempt('send_exception behind it', event.send_exception, ValueError('broken'))
print('value:', event.wait())
waiter = eventlet.spawn(event.wait)
print('a wait for the ready does not wait:', waiter.wait())
attempt('reset', event.reset)
print('ready:', event.ready())
waiter = eventlet.spawn(event.wait)
eventlet.sleep(0)
attempt('send', event.send, 3)
attempt('reset before the waiter ran', event.reset)
attempt('send', event.send, 4)
print('the waiter got', waiter.wait(), 'the next gets', event.wait())
