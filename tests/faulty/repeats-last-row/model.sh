rate=$(sed -n 's/^RATE,//p' "$1")
awk -v rate="$rate" -v out="$2/output.csv" 'BEGIN {
    print "unit,tax" > out
    for (unit = 1; unit <= 20; unit++) { row = unit "," rate * unit * 1000; total += rate * unit * 1000; print row > out }
    if (rate > 0.25) print row > out
    printf "label,value\nrevenue,%.10g\n", total
}' > "$2/summary.csv"
