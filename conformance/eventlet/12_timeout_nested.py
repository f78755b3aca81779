"""Of nested Timeouts each scope gets its own: who catches can tell which one it was."""
import eventlet


def nested(outer_s, inner_s):
    outer = eventlet.Timeout(outer_s)
    try:
        inner = eventlet.Timeout(inner_s)
        try:
            eventlet.sleep(1)
        except eventlet.Timeout as caught:
            print('inner scope: inner', caught is inner, 'outer', caught is outer)
            if caught is not inner:
                raise
        finally:
            inner.cancel()
        eventlet.sleep(0.06)
        print('never printed')
    except eventlet.Timeout as caught:
        print('outer scope: inner', caught is inner, 'outer', caught is outer)
    finally:
        outer.cancel()


print('inner first')
nested(0.04, 0.02)
print('outer first')
nested(0.02, 0.04)
with eventlet.Timeout(0.02, False):
    with eventlet.Timeout(0.04, False):
        eventlet.sleep(1)
    print('never printed')
print('the silent outer one ended both')
with eventlet.Timeout(0.06, False):
    with eventlet.Timeout(0.02, False):
        eventlet.sleep(1)
    print('the silent inner one ended only itself')
