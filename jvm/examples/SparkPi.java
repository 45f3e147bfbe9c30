import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.api.java.JavaSparkContext;

/** {@code SparkPi [SLICES]}: pi by throwing darts; nothing in it knows of spark-proxy. */
public final class SparkPi {
  public static void main(String[] args) {
    int slices = args.length > 0 ? Integer.parseInt(args[0]) : 2;
    int darts = 100_000;
    SparkSession spark = SparkSession.builder().appName("SparkPi").getOrCreate();
    List<Integer> boards = new ArrayList<>();
    for (int i = 0; i < slices; i++) boards.add(i);
    long inside = JavaSparkContext.fromSparkContext(spark.sparkContext())
        .parallelize(boards, slices)
        .map(board -> {
          long hits = 0;
          for (int i = 0; i < darts; i++) {
            double x = ThreadLocalRandom.current().nextDouble() * 2 - 1;
            double y = ThreadLocalRandom.current().nextDouble() * 2 - 1;
            if (x * x + y * y <= 1) hits++;
          }
          return hits;
        })
        .reduce(Long::sum);
    System.out.println("Pi is roughly " + 4.0 * inside / darts / slices);
    spark.stop();
  }
}
