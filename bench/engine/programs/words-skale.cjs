const sc = require('../../peers/node_modules/skale').context();

const [file, partitions] = process.argv.slice(2);
sc.textFile(file, Number(partitions))
  .flatMap((line) => line.match(/[A-Za-z0-9_]+/g) || [])
  .map((word) => [word, 1])
  .reduceByKey((a, b) => a + b, 0)
  .map((pair) => [pair[1], 1, pair[1] * pair[1]])
  .reduce((a, b) => [a[0] + b[0], a[1] + b[1], a[2] + b[2]], [0, 0, 0])
  .then((sum) => {
    console.log(`ANSWER ${sum.join(' ')}`);
    sc.end();
  });
