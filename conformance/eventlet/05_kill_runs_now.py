"""kill runs its victim at once, up to its next wait or its end; the killer goes on a turn later."""
import eventlet


def victim(name, wait_s=None):
    try:
        eventlet.sleep(1)
    finally:
        print(name, 'dies')
        if wait_s is not None:
            eventlet.sleep(wait_s)
            print(name, 'has cleaned up')


a, b, c = eventlet.spawn(victim, 'a'), eventlet.spawn(victim, 'b', 0), eventlet.spawn(victim, 'c', 0.02)
eventlet.sleep(0)
eventlet.spawn(print, 'spawned before the kill')
print('kill a')
a.kill()
print('killed a, dead:', a.dead)
print('kill b')
b.kill()
print('killed b, dead:', b.dead)
eventlet.sleep(0)
print('a turn later, dead:', b.dead)
c.kill()
print('killed c, dead:', c.dead)
eventlet.sleep(0.04)
print('later, dead:', c.dead)
c.kill()
print('kill of the dead does nothing')


def kills_itself():
    try:
        eventlet.getcurrent().kill()
    finally:
        print('killed itself')


eventlet.spawn(kills_itself)
eventlet.sleep(0.02)
