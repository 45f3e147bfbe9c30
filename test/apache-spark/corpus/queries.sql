-- One result row a query; run by queries.py, and by `spark-sql -f` unmodified.
select count(*), sum(id), max(hash(id)) from range(0, 100000, 1, 5);
select k, count(*) n, sum(id) s from (select id, id % 5 k from range(0, 10000, 1, 4)) group by k order by k limit 1;
select sum(a.id * b.id) from range(0, 3000, 1, 3) a join range(0, 3000, 1, 3) b on a.id = b.id + 1 where a.id % 3 = 0;
select count(distinct id % 173), approx_count_distinct(id % 7) from range(0, 50000, 1, 4);
with t as (select id, id % 4 g, row_number() over (partition by id % 4 order by id desc) r from range(0, 1000, 1, 3)) select sum(id), count(*) from t where r <= 10;
select sum(c) from (select id, count(*) c from (select id % 10 id from range(100) union all select id % 7 id from range(100)) group by cube(id));
select size(collect_set(id % 9)), percentile(id, 0.5), round(stddev(id), 6) from range(0, 2000, 1, 4);
