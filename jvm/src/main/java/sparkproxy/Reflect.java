package sparkproxy;

import java.lang.reflect.*;
import java.util.*;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Members by name, where their types differ among versions of Spark and Scala (sequences, maps, cores as int or
 * BigDecimal) or where they are private. Looked for in the class, its superclasses and interfaces; found once a class.
 */
final class Reflect {
  private record Key(Class<?> type, String name, int arity) {}

  private static final ConcurrentHashMap<Key, Method> METHODS = new ConcurrentHashMap<>();
  private static final ConcurrentHashMap<Key, Field> FIELDS = new ConcurrentHashMap<>();

  private Reflect() {}

  /** Calls the method of that name (or one whose mangled name ends with {@code $$name}) and number of arguments. */
  static Object call(Object target, String name, Object... arguments) throws ReflectiveOperationException {
    Key key = new Key(target.getClass(), name, arguments.length);
    Method method = METHODS.get(key);
    if (method == null) {
      try {
        method = findMethod(target.getClass(), name, arguments.length);
      } catch (LinkageError e) {
        throw new ReflectiveOperationException(target.getClass().getName() + "." + name, e);
      }
      if (method == null) throw new NoSuchMethodException(target.getClass().getName() + "." + name + "/" + arguments.length);
      method.setAccessible(true);
      METHODS.put(key, method);
    }
    return method.invoke(target, arguments);
  }

  private static Method findMethod(Class<?> type, String name, int arity) {
    for (Class<?> at = type; at != null; at = at.getSuperclass()) {
      for (Method method : at.getDeclaredMethods()) if (matches(method, name, arity) && !method.isBridge()) return method;
    }
    for (Method method : type.getMethods()) if (matches(method, name, arity)) return method;
    return null;
  }

  private static boolean matches(Method method, String name, int arity) {
    if (method.getParameterCount() != arity || Modifier.isStatic(method.getModifiers())) return false;
    return method.getName().equals(name) || method.getName().endsWith("$$" + name);
  }

  /** A field of the class or of a superclass, also a final one: instance fields of Spark's classes may be set. */
  static Field field(Class<?> type, String name) throws NoSuchFieldException {
    Key key = new Key(type, name, -1);
    Field field = FIELDS.get(key);
    for (Class<?> at = type; field == null && at != null; at = at.getSuperclass()) {
      for (Field one : at.getDeclaredFields()) if (one.getName().equals(name) || one.getName().endsWith("$$" + name)) field = one;
    }
    if (field == null) throw new NoSuchFieldException(type.getName() + "." + name);
    field.setAccessible(true);
    FIELDS.put(key, field);
    return field;
  }

  /** The elements of any Scala collection; {@code scala.collection.Iterator} is the same in 2.12 and 2.13. */
  static List<Object> each(Object collection) throws ReflectiveOperationException {
    List<Object> all = new ArrayList<>();
    scala.collection.Iterator<?> iterator = (scala.collection.Iterator<?>) call(collection, "iterator");
    while (iterator.hasNext()) all.add(iterator.next());
    return all;
  }

  /** A whole number, whichever type this version gives it. */
  static int intOf(Object number) {
    return number instanceof Number n ? n.intValue() : Integer.parseInt(String.valueOf(number).replaceAll("\\..*", ""));
  }

  /** That number in the type of a field of Spark's. */
  static Object like(Class<?> type, int number) {
    return type == int.class ? (Object) number : scala.math.BigDecimal.valueOf(number);
  }

  /** {@code totalCores} or {@code freeCores} of an executor; 0: this version has it not. */
  static int cores(Object executor, String which) {
    try {
      return intOf(call(executor, which));
    } catch (ReflectiveOperationException e) {
      return 0;
    }
  }

  /** What a Scala map holds under that key, or null. */
  static Object lookup(Object map, Object key) throws ReflectiveOperationException {
    scala.Option<?> found = (scala.Option<?>) call(map, "get", key);
    return found.isDefined() ? found.get() : null;
  }
}
