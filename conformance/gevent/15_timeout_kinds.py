"""A Timeout raises itself, one's own exception or nothing; it is cancelled when its scope ends."""
import gevent

try:
    with gevent.Timeout(0.02):
        gevent.sleep(1)
except gevent.Timeout:
    print('timed out')
try:
    with gevent.Timeout(0.02, ValueError('my own')):
        gevent.sleep(1)
except ValueError as error:
    print('raised', error)
try:
    with gevent.Timeout(0.02):
        try:
            gevent.sleep(1)
        except Exception:
            print('never printed')
except gevent.Timeout:
    print('went through a handler of ordinary exceptions')
with gevent.Timeout(0.02, False) as timeout:
    gevent.sleep(1)
    print('never printed')
print('silent')
print('value instead:', gevent.with_timeout(0.02, gevent.sleep, 1, timeout_value='gave up'))
print('in time:', gevent.with_timeout(0.5, lambda: 'result', timeout_value='gave up'))
try:
    gevent.with_timeout(0.02, gevent.sleep, 1)
except gevent.Timeout:
    print('no value: timed out')
with gevent.Timeout(0.02) as timeout:
    print('pending inside:', timeout.pending)
print('pending behind:', timeout.pending)
gevent.sleep(0.04)
print('cancelled at the end of its scope')
with gevent.Timeout(None):
    gevent.sleep(0.02)
print('none: no limit')
