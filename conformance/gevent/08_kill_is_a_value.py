"""A kill is a value and no error; one's own exception is an error; a victim may swallow both."""
import gevent
from gevent import GreenletExit


def waits():
    gevent.sleep(1)


def swallows():
    try:
        gevent.sleep(1)
    except GreenletExit:
        print('swallowed')
    gevent.sleep(0.02)
    return 'lived on'


killed = gevent.spawn(waits)
gevent.sleep(0)
killed.kill()
exit_value = killed.get()
print('killed: successful', killed.successful(), 'an error', killed.exception is not None)
print('get gives the exit:', isinstance(exit_value, GreenletExit))

own = gevent.spawn(waits)
gevent.sleep(0)
own.kill(ValueError('of my own'))
print('own: successful', own.successful(), 'error', own.exception)
try:
    own.get()
except ValueError as error:
    print('get raises', error)

stubborn = gevent.spawn(swallows)
gevent.sleep(0)
stubborn.kill()
print('stubborn: successful', stubborn.successful(), 'value', stubborn.value)
