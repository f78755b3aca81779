"""An Event brings one value or exception to all who wait, a turn later, and to all who come later."""
import eventlet
from eventlet.event import Event

heard = []


def waiter(name, event):
    try:
        heard.append(f'{name} got {event.wait()}')
    except ValueError as error:
        heard.append(f'{name} caught {error}')


def bring(how):
    event = Event()
    threads = [eventlet.spawn(waiter, name, event) for name in 'abc']
    eventlet.sleep(0)
    print('ready:', event.ready(), 'poll:', event.poll('not yet'))
    how(event)
    print('given; no waiter ran:', heard == [])
    for thread in threads:
        thread.wait()
    waiter('late', event)
    # Who waits for one Event is woken in no order.
    print(*sorted(heard), sep=', ')
    heard.clear()


bring(lambda event: event.send('value'))
bring(lambda event: event.send_exception(ValueError('broken')))
event = Event()
print('wait for 20 ms: nothing', event.wait(0.02) is None, 'ready', event.ready())
try:
    with eventlet.Timeout(0.02):
        event.wait()
except eventlet.Timeout:
    print('timed out')
eventlet.spawn_after(0.02, event.send, 'after both')
print('wait:', event.wait(), 'a result', event.has_result(), 'an exception', event.has_exception())
