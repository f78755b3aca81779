"""wait gives the result or raises what the greenthread raised, as often as it is asked; a kill as well."""
import eventlet
from eventlet import debug
from eventlet.support.greenlets import GreenletExit

debug.hub_exceptions(False)


def works(wait_s=0.02):
    eventlet.sleep(wait_s)
    return 42


def fails():
    raise ValueError('broken')


def outcome(thread):
    try:
        return thread.wait()
    except ValueError as error:
        return f'raised {error}'
    except GreenletExit:
        return 'was killed'


good, bad, killed, own = (eventlet.spawn(what) for what in (works, fails, works, works))
eventlet.sleep(0)
killed.kill()
own.kill(ValueError('of my own'))
for name, thread in (('good', good), ('bad', bad), ('killed', killed), ('own', own)):
    print(name, outcome(thread), 'and again', outcome(thread))


def swallows():
    try:
        eventlet.sleep(1)
    except GreenletExit:
        print('swallowed')
    eventlet.sleep(0.02)
    return 'lived on'


stubborn = eventlet.spawn(swallows)
eventlet.sleep(0)
stubborn.kill()
print('stubborn', outcome(stubborn))
