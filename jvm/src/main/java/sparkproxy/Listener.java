package sparkproxy;

import java.util.Map;
import org.apache.spark.*;
import org.apache.spark.scheduler.*;

/** Spark's listener events as lists of words, as the dispatcher asks for them; src/apache-spark/events.ts gives them types. */
final class Listener extends SparkFirehoseListener {
  private static final int MAX_TEXT = 2000;

  private final Driver driver;
  /** By the name of their class: what an event is called, and paths of accessors. */
  volatile Map<String, String> told = Map.of();

  Listener(Driver driver) {
    this.driver = driver;
  }

  @Override
  public void onEvent(SparkListenerEvent event) {
    String paths = told.get(event.getClass().getSimpleName());
    if (paths != null) tell(event, paths.split(" "));
    if (event instanceof SparkListenerExecutorRemoved gone) driver.detached(gone.executorId());
    else if (event instanceof SparkListenerApplicationEnd) driver.ended();
  }

  private void tell(SparkListenerEvent event, String[] words) {
    for (int i = 1; i < words.length; i++) {
      String text = wordOf(event, words[i]);
      words[i] = text.length() > MAX_TEXT ? text.substring(0, MAX_TEXT) : text;
    }
    // What begins and ends jobs is acted upon; of tasks there are many.
    driver.send(Frame.event((Object[]) words), words[0].startsWith("task") ? Link.SOON_MS : 0);
  }

  /** What the path of accessors leads to; nothing: empty. */
  private static String wordOf(Object event, String path) {
    try {
      Object at = event;
      for (String name : path.split("\\.")) at = at == null ? null : Reflect.call(at, name);
      if (at instanceof scala.Option<?> option) at = option.isDefined() ? option.get() : null;
      if (at instanceof scala.collection.Iterable<?>) at = Reflect.call(at, "mkString", ",");
      return at == null ? "" : String.valueOf(at);
    } catch (ReflectiveOperationException e) {
      return "";
    }
  }
}
