case=$(sed -n 's/^CASE,//p' "$1")
printf 'unit,tax\n1,2\n' > "$2/output.csv"
echo "{\"revenue\": 4$case}" > "$2/summary.json"
case $case in
    1) : > "$2/summary.json" ;;
    2) echo '{}' > "$2/summary.json" ;;
    3) echo '{"revenue": null}' > "$2/summary.json" ;;
    4) printf 'unit,tax\n' > "$2/output.csv" ;;
    5) : > "$2/output.csv" ;;
esac
exit 0
