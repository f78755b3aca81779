"""A Timeout raises itself, one's own exception or nothing; it is cancelled when its scope ends."""
import eventlet


def attempt(name, *args):
    try:
        with eventlet.Timeout(0.02, *args):
            eventlet.sleep(1)
            print('never printed')
        print(name, 'was silent')
    except ValueError as error:
        print(name, 'raised', error)
    except Exception:
        print('never printed')
    except eventlet.Timeout:
        print(name, 'timed out')


attempt('plain')
attempt('own', ValueError('my own'))
attempt('false', False)
print('value instead:', eventlet.with_timeout(0.02, eventlet.sleep, 1, timeout_value='gave up'))
print('in time:', eventlet.with_timeout(0.5, lambda: 'result', timeout_value='gave up'))
try:
    eventlet.with_timeout(0.02, eventlet.sleep, 1)
except eventlet.Timeout:
    print('no value: timed out')
with eventlet.Timeout(0.02) as timeout:
    print('pending inside:', timeout.pending)
eventlet.sleep(0.04)
print('pending behind:', timeout.pending)
with eventlet.Timeout(None):
    eventlet.sleep(0.02)
print('none: no limit')
slow = eventlet.spawn_after(0.06, lambda: 'slow')
try:
    with eventlet.Timeout(0.02):
        slow.wait()
except eventlet.Timeout:
    print('waited too long, still to come:', not slow.dead)
print('result:', slow.wait())
