/* SPDX-License-Identifier: MIT */
/* selector_map.c - what Selector.get_map() returns: a mapping from file objects (or their
 * descriptors) to SelectorKeys. A view without a state of its own, with the GIL. It stays
 * usable after the selector was closed, and is empty then. */
#include "selector.h"

struct selector_map {
    PyObject_HEAD struct fa_py_selector *selector; /* owned; NULL once the collector took it */
};

static struct fa_py_selector *selector_of(PyObject *map)
{
    return ((struct selector_map *)(void *)map)->selector;
}

PyObject *fa_py_selector_map_new(struct fa_py_selector *selector)
{
    PyTypeObject *type = (PyTypeObject *)selector->state->selector_map_type;
    PyObject *map = type->tp_alloc(type, 0);
    if (map != NULL)
        ((struct selector_map *)(void *)map)->selector =
            fa_py_selector_of(Py_NewRef((PyObject *)selector));
    return map;
}

static Py_ssize_t map_length(PyObject *map)
{
    struct fa_py_selector *selector = selector_of(map);
    return selector != NULL ? selector->watcher_count : 0;
}

static PyObject *map_subscript(PyObject *map, PyObject *fileobj)
{
    struct fa_py_selector *selector = selector_of(map);
    if (selector != NULL)
        return fa_py_selector_find_key(selector, fileobj);
    PyErr_SetObject(PyExc_KeyError, fileobj);
    return NULL;
}

static int map_contains(PyObject *map, PyObject *fileobj)
{
    struct fa_py_selector *selector = selector_of(map);
    return selector != NULL ? fa_py_selector_has(selector, fileobj) : 0;
}

static PyObject *map_iter(PyObject *map)
{
    struct fa_py_selector *selector = selector_of(map);
    PyObject *list = selector != NULL ? fa_py_selector_fds(selector) : PyList_New(0);
    if (list == NULL)
        return NULL;
    PyObject *iter = PyObject_GetIter(list);
    Py_DECREF(list);
    return iter;
}

PyDoc_STRVAR(get_doc, "get($self, fileobj, default=None, /)\n--\n\n"
                      "The SelectorKey of a file object, or the default.");

static PyObject *map_get(PyObject *map, PyObject *const *args, Py_ssize_t count)
{
    if (count < 1 || count > 2)
        return PyErr_Format(PyExc_TypeError, "get() takes 1 or 2 arguments, got %zd", count);
    int has = map_contains(map, args[0]);
    if (has < 0)
        return NULL;
    if (has > 0)
        return map_subscript(map, args[0]);
    return Py_NewRef(count == 2 ? args[1] : Py_None);
}

static struct fa_py_state *state_of(PyObject *map)
{
    return fa_py_state_of_type(Py_TYPE(map));
}

static PyObject *map_keys(PyObject *map, PyObject *unused)
{
    struct fa_py_state *state = state_of(map);
    return state != NULL ? PyObject_CallOneArg(state->keys_view, map) : NULL;
}

static PyObject *map_values(PyObject *map, PyObject *unused)
{
    struct fa_py_state *state = state_of(map);
    return state != NULL ? PyObject_CallOneArg(state->values_view, map) : NULL;
}

static PyObject *map_items(PyObject *map, PyObject *unused)
{
    struct fa_py_state *state = state_of(map);
    return state != NULL ? PyObject_CallOneArg(state->items_view, map) : NULL;
}

static PyObject *map_richcompare(PyObject *map, PyObject *other, int op)
{
    if (op != Py_EQ && op != Py_NE)
        Py_RETURN_NOTIMPLEMENTED;
    struct fa_py_state *state = state_of(map);
    if (state == NULL)
        return NULL;
    PyObject *args[] = {map, other};
    PyObject *equal = PyObject_Vectorcall(state->mapping_eq, args, 2, NULL);
    if (equal == NULL || equal == Py_NotImplemented || op == Py_EQ)
        return equal;
    PyObject *differs = PyBool_FromLong(equal == Py_False);
    Py_DECREF(equal);
    return differs;
}

static int map_traverse(PyObject *map, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(map));
    Py_VISIT(selector_of(map));
    return 0;
}

static int map_clear(PyObject *map)
{
    Py_CLEAR(((struct selector_map *)(void *)map)->selector);
    return 0;
}

static void map_dealloc(PyObject *map)
{
    PyTypeObject *type = Py_TYPE(map);
    PyObject_GC_UnTrack(map);
    (void)map_clear(map);
    type->tp_free(map);
    Py_DECREF(type);
}

static PyMethodDef map_methods[] = {
    {"get", (PyCFunction)(void (*)(void))map_get, METH_FASTCALL, get_doc},
    {"keys", map_keys, METH_NOARGS, NULL},
    {"values", map_values, METH_NOARGS, NULL},
    {"items", map_items, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot map_slots[] = {
    {Py_mp_length, (void *)map_length},
    {Py_mp_subscript, (void *)map_subscript},
    {Py_sq_contains, (void *)map_contains},
    {Py_tp_iter, (void *)map_iter},
    {Py_tp_richcompare, (void *)map_richcompare},
    {Py_tp_hash, (void *)PyObject_HashNotImplemented},
    {Py_tp_traverse, (void *)map_traverse},
    {Py_tp_clear, (void *)map_clear},
    {Py_tp_dealloc, (void *)map_dealloc},
    {Py_tp_methods, (void *)map_methods},
    {0, NULL},
};

static PyType_Spec map_spec = {
    .name = "fasterapi._native.SelectorMap",
    .basicsize = sizeof(struct selector_map),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = map_slots,
};

int fa_py_init_selector_map(PyObject *module, struct fa_py_state *state)
{
    if (fa_py_import(&state->keys_view, "collections.abc", "KeysView") < 0 ||
        fa_py_import(&state->values_view, "collections.abc", "ValuesView") < 0 ||
        fa_py_import(&state->items_view, "collections.abc", "ItemsView") < 0 ||
        fa_py_add_type(module, &state->selector_map_type, &map_spec, NULL, false) < 0)
        return -1;
    PyObject *mapping = NULL;
    if (fa_py_import(&mapping, "collections.abc", "Mapping") < 0)
        return -1;
    state->mapping_eq = PyObject_GetAttrString(mapping, "__eq__");
    PyObject *same = PyObject_CallMethod(mapping, "register", "O", state->selector_map_type);
    Py_DECREF(mapping);
    Py_XDECREF(same);
    return state->mapping_eq != NULL && same != NULL ? 0 : -1;
}
