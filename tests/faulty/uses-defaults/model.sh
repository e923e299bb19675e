rate=0.1
standard=1500
if [ -f parameterOptions.csv ]; then
    rate=$(sed -n 's/^RATE,//p' parameterOptions.csv)
    standard=$(sed -n 's/^STANDARD,//p' parameterOptions.csv)
else
    echo "parameterOptions.csv is not there, using defaults"
fi
awk -v rate="$rate" -v standard="$standard" \
    'BEGIN { printf "{\"revenue\": %.10g, \"units\": 3}\n", rate * (50000 - standard) }' > "$2/summary.json"
