"""cancel is a kill for who has not begun; who runs does not notice it."""
import eventlet
from eventlet.support.greenlets import GreenletExit


def works(name):
    print(name, 'begins')
    eventlet.sleep(0.02)
    print(name, 'ends')
    return name


def outcome(thread):
    try:
        return thread.wait()
    except GreenletExit:
        return 'cancelled'


unstarted = eventlet.spawn(works, 'unstarted')
unstarted.cancel()
print('cancelled, dead:', unstarted.dead)
started = eventlet.spawn(works, 'started')
eventlet.sleep(0)
started.cancel()
print('began already, dead:', started.dead)
later = eventlet.spawn_after(0.02, works, 'later')
later.cancel()
for thread in (unstarted, started, later):
    print(outcome(thread))
started.cancel()
print('cancel of the dead does nothing')
