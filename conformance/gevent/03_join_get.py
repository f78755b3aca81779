"""join waits and raises nothing; get waits and gives the value or raises; value never waits."""
import gevent


def works():
    gevent.sleep(0.02)
    return 42


def fails():
    gevent.sleep(0.02)
    raise ValueError('broken')


good, bad = gevent.spawn(works), gevent.spawn(fails)
print('before: no value', good.value is None, 'ready', good.ready(), 'successful', good.successful())
good.join()
print('after join:', good.value, 'ready', good.ready(), 'successful', good.successful())
print('get:', good.get(), good.get())
bad.join()
print('join of the failed raised nothing: ready', bad.ready(), 'successful', bad.successful(), 'error', bad.exception)
for attempt in (1, 2):
    try:
        bad.get()
    except ValueError as error:
        print('get', attempt, 'raised:', error)
slow = gevent.spawn(gevent.sleep, 1)
slow.join(timeout=0.02)
print('join timed out, still running:', not slow.ready())
try:
    slow.get(block=False)
except gevent.Timeout:
    print('get without waiting: not ready')
try:
    slow.get(timeout=0.02)
except gevent.Timeout:
    print('get timed out, still running:', not slow.ready())
