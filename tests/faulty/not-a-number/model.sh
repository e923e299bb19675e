value=$(sed -n 's/^VALUE,//p' "$1")
[ "$value" = empty ] && value=
printf 'label,value\ntax,%s\nother,1\n' "$value" > "$2/summary.csv"
