package sparkproxy;

import java.lang.reflect.*;
import java.util.*;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Members by name, where their types differ among versions of Spark and Scala (sequences, maps, cores as int or
 * BigDecimal) or where they are private. Looked for in the class, its superclasses and interfaces; methods are found once a class.
 */
final class Reflect {
  private record Key(Class<?> type, String name, int arity) {}

  private static final ConcurrentHashMap<Key, Method> METHODS = new ConcurrentHashMap<>();

  private Reflect() {}

  /** Calls the method of that name (or one whose mangled name ends with {@code $$name}) and number of arguments. */
  static Object call(Object target, String name, Object... arguments) throws ReflectiveOperationException {
    Key key = new Key(target.getClass(), name, arguments.length);
    Method method = METHODS.get(key);
    if (method == null) METHODS.put(key, method = method(key));
    return method.invoke(target, arguments);
  }

  private static Method method(Key key) throws ReflectiveOperationException {
    List<Method> all = new ArrayList<>();
    try {
      for (Class<?> at = key.type; at != null; at = at.getSuperclass()) all.addAll(List.of(at.getDeclaredMethods()));
      all.addAll(List.of(key.type.getMethods()));
    } catch (LinkageError e) {
      throw new ReflectiveOperationException(key.toString(), e);
    }
    all.removeIf(one -> !one.getName().equals(key.name) && !one.getName().endsWith("$$" + key.name));
    all.removeIf(one -> one.getParameterCount() != key.arity || Modifier.isStatic(one.getModifiers()));
    Method found = all.stream().min(Comparator.comparing(Method::isBridge)).orElseThrow(() -> new NoSuchMethodException(key.toString()));
    found.setAccessible(true);
    return found;
  }

  /** A field of this class, also a final one: instance fields of Spark's classes may be set. */
  static Field field(Class<?> type, String name) throws NoSuchFieldException {
    Field field = type.getDeclaredField(name);
    field.setAccessible(true);
    return field;
  }

  /** The elements of a Scala collection; these interfaces are the same in 2.12 and 2.13. */
  static List<Object> each(Object collection) {
    List<Object> all = new ArrayList<>();
    ((scala.collection.Iterable<?>) collection).iterator().foreach(all::add);
    return all;
  }

  /** What a Scala map holds under that key, or null. */
  @SuppressWarnings("unchecked")
  static Object lookup(Object map, Object key) {
    scala.Option<Object> found = ((scala.collection.Map<Object, Object>) map).get(key);
    return found.isDefined() ? found.get() : null;
  }

  /** A whole number: an int, or Scala's BigDecimal. */
  static int intOf(Object number) {
    return ((Number) number).intValue();
  }
}
