"""Who is killed before its start never runs; its links do, within the kill."""
import eventlet
from eventlet.support.greenlets import GreenletExit


def told(thread, name):
    try:
        thread.wait()
    except GreenletExit:
        print(name, 'hears of the kill')
    except ValueError as error:
        print(name, 'hears of', error)


victim = eventlet.spawn(print, 'never printed')
victim.link(told, 'link')
eventlet.spawn(print, 'spawned behind the victim')
print('kill')
victim.kill()
print('killed, dead:', victim.dead)
told(victim, 'a wait')

later = eventlet.spawn_after(0.02, print, 'never printed')
later.link(told, 'second link')
later.kill()
eventlet.sleep(0.04)
print('its time came')
