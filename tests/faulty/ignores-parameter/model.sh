# The rate is read; the exemption was written into the code and forgotten.
rate=$(sed -n 's/^RATE,//p' "$1")
awk -v rate="$rate" 'BEGIN { printf "label,value\nrevenue,%.10g\n", rate * (50000 - 1000) }' > "$2/summary.csv"
