"""An AsyncResult brings one value or exception to all who wait, in order, and to all who come later."""
import gevent
from gevent.event import AsyncResult


def waiter(name, result):
    try:
        print(name, 'got', result.get())
    except ValueError as error:
        print(name, 'caught', error)


def bring(how):
    result = AsyncResult()
    tasks = [gevent.spawn(waiter, name, result) for name in 'abc']
    gevent.sleep(0)
    how(result)
    print('brought, ready:', result.ready(), 'successful:', result.successful())
    gevent.joinall(tasks)
    waiter('late', result)


bring(lambda result: result.set('value'))
bring(lambda result: result.set_exception(ValueError('broken')))

result = AsyncResult()
try:
    result.get(block=False)
except gevent.Timeout:
    print('not ready')
try:
    result.get(timeout=0.02)
except gevent.Timeout:
    print('timed out')
print('wait timed out:', result.wait(timeout=0.02) is None)
gevent.spawn(lambda: 'of a task').link(result)
print('linked to a task:', result.get())
result.set('second')
print('a second set replaces:', result.get())
