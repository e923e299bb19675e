// The simple tax model: one flat tax on wages, for every filing unit of a file.
//
//     simple-tax PARAMETERS UNITS OUTPUTS
//
// tax = RATE * (salary - max(itemized, STANDARD) - EXEMPT * (1 + married)), with no floor at zero.
//
// Writes OUTPUTS/output.csv (every unit with its tax) and OUTPUTS/summary.json. Whatever is wrong ends the model
// with one line on standard error and a status other than zero.

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::string_view kUnitsHeader = "unit_id,itemized,salary,married,weight";
constexpr std::array<std::string_view, 3> kParameterNames = {"RATE", "STANDARD", "EXEMPT"};
constexpr std::string_view kExpectedParameters = "expected RATE, STANDARD, EXEMPT";

// What is wrong, in one line, for the user.
struct ModelError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Parameters {
    double rate;
    double standard;
    double exempt;
};

struct Unit {
    std::string_view line;  // as read, so that the output repeats it digit by digit
    double itemized;
    double salary;
    int married;
    double weight;
};

// Neumaier's compensated sum: the error does not grow with the number of terms.
class Sum {
public:
    void add(double term) {
        const double next = total_ + term;
        lost_ += std::abs(total_) >= std::abs(term) ? (total_ - next) + term : (term - next) + total_;
        total_ = next;
    }
    double value() const { return total_ + lost_; }

private:
    double total_ = 0.0;
    double lost_ = 0.0;
};

// A salary band of the summary: it holds salaries from the upper bound of the band before up to its own, exclusive.
struct Band {
    std::string_view name;
    double upper;
    Sum taxes{};
    Sum wages{};
};

std::string text_of(double value) {
    std::array<char, 32> buffer;
    const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);  // shortest round trip
    return {buffer.data(), result.ptr};
}

// User text that is safe and short enough to stand inside a message.
std::string quoted(std::string_view text) {
    std::string shown(text.substr(0, 41));
    for (char& c : shown) {
        if (c < ' ' || c > '~') c = '?';
    }
    if (shown.size() > 40) shown = shown.substr(0, 37) + "...";
    return '"' + shown + '"';
}

// The number that the whole text spells, if it is finite. from_chars alone would take "nan" and "inf" as well.
std::optional<double> finite_number(std::string_view text) {
    double value = 0.0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
    return value;
}

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Takes the text up to the separator off the front of `rest`.
std::string_view take_until(std::string_view& rest, char separator) {
    const auto at = rest.find(separator);
    const auto piece = rest.substr(0, at);
    rest = at == std::string_view::npos ? std::string_view{} : rest.substr(at + 1);
    return piece;
}

std::string_view take_line(std::string_view& rest) {
    auto line = take_until(rest, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

std::string read_file(const std::string& path) {
    std::FILE* file = std::fopen(path.c_str(), "rb");
    if (!file) throw ModelError(path + ": cannot read: " + std::strerror(errno));
    std::string text;
    std::size_t filled = 0;
    do {
        text.resize(std::max<std::size_t>(1 << 20, text.size() * 2));
        filled += std::fread(text.data() + filled, 1, text.size() - filled, file);
    } while (filled == text.size());
    const int failure = std::ferror(file) ? errno : 0;
    std::fclose(file);
    if (failure) throw ModelError(path + ": cannot read: " + std::strerror(failure));
    text.resize(filled);
    return text;
}

// Writes a whole file or none: a disk that fills up leaves no part behind under the name.
void write_file(const std::string& path, std::string_view text) {
    const std::string part = path + ".part";
    int failure = 0;
    if (std::FILE* file = std::fopen(part.c_str(), "wb")) {
        std::setvbuf(file, nullptr, _IONBF, 0);  // the text is one buffer already
        if (std::fwrite(text.data(), 1, text.size(), file) != text.size()) failure = errno;
        if (std::fclose(file) != 0 && !failure) failure = errno;
        if (!failure && std::rename(part.c_str(), path.c_str()) != 0) failure = errno;
        if (failure) std::remove(part.c_str());
    } else {
        failure = errno;
    }
    if (failure) throw ModelError(path + ": cannot write: " + std::strerror(failure));
}

// Every parameter exactly once, by name, from lines of NAME,value.
Parameters read_parameters(const std::string& path) {
    const std::string text = read_file(path);
    std::array<std::optional<double>, kParameterNames.size()> values;
    std::string_view rest = text;
    for (int number = 1; !rest.empty(); ++number) {
        std::string_view line = take_line(rest);
        if (trimmed(line).empty()) continue;
        const std::string where = path + ':' + std::to_string(number) + ": ";
        const auto cells = std::count(line.begin(), line.end(), ',');
        const std::string name(trimmed(take_until(line, ',')));
        const auto known = std::find(kParameterNames.begin(), kParameterNames.end(), name);
        if (known == kParameterNames.end()) {
            throw ModelError(where + "unknown parameter " + quoted(name) + "; " + std::string(kExpectedParameters));
        }
        auto& value = values[known - kParameterNames.begin()];
        if (value) throw ModelError(where + "parameter " + name + " is given twice");
        if (cells != 1) throw ModelError(where + name + ": expected one value, found " + std::to_string(cells));
        value = finite_number(trimmed(line));
        if (!value) throw ModelError(where + name + ": expected a finite number, found " + quoted(trimmed(line)));
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (!values[i]) {
            throw ModelError(path + ": parameter " + std::string(kParameterNames[i]) + " is missing; " +
                             std::string(kExpectedParameters) + ", one NAME,value to a line");
        }
    }
    return {*values[0], *values[1], *values[2]};
}

// One row of the units file; throws what is wrong with it.
Unit parse_unit(std::string_view line, std::int64_t& unit_id_before) {
    const auto fields = std::count(line.begin(), line.end(), ',') + 1;
    if (fields != 5) throw ModelError("expected 5 fields, found " + std::to_string(fields));
    std::string_view rest = line;

    const auto id = take_until(rest, ',');
    std::int64_t unit_id = 0;
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), unit_id);
    if (error != std::errc{} || end != id.data() + id.size() || id.front() == '-' || id.size() > 18) {
        throw ModelError("unit_id: expected a whole number, found " + quoted(id));
    }
    if (unit_id <= unit_id_before) {
        throw ModelError("unit_id: expected more than " + std::to_string(unit_id_before) +
                         " of the row before, found " + quoted(id));
    }
    unit_id_before = unit_id;

    const auto amount = [&rest](const char* column) {
        const auto text = take_until(rest, ',');
        const auto value = finite_number(text);
        if (!value || text.front() == '-') {
            throw ModelError(std::string(column) + ": expected a finite number of at least 0, found " + quoted(text));
        }
        return *value;
    };
    const double itemized = amount("itemized");
    const double salary = amount("salary");

    const auto married = take_until(rest, ',');
    if (married != "0" && married != "1") throw ModelError("married: expected 0 or 1, found " + quoted(married));

    const auto weight = finite_number(rest);
    if (!weight || *weight <= 0.0) throw ModelError("weight: expected a finite number above 0, found " + quoted(rest));

    return {line, itemized, salary, married == "1" ? 1 : 0, *weight};
}

// The rows of the file; they point into `text`.
std::vector<Unit> parse_units(const std::string& path, std::string_view text) {
    if (text.empty()) {
        throw ModelError(path + ": the file is empty; expected the header " + std::string(kUnitsHeader));
    }
    const auto header = take_line(text);
    if (header != kUnitsHeader) {
        throw ModelError(path + ":1: expected the header " + std::string(kUnitsHeader) + ", found " + quoted(header));
    }
    if (text.empty()) throw ModelError(path + ": no filing units after the header");

    std::vector<Unit> units;
    units.reserve(std::count(text.begin(), text.end(), '\n') + 1);
    std::int64_t unit_id_before = 0;
    for (std::size_t number = 2; !text.empty(); ++number) {
        try {
            units.push_back(parse_unit(take_line(text), unit_id_before));
        } catch (const ModelError& error) {
            throw ModelError(path + ':' + std::to_string(number) + ": " + error.what());
        }
    }
    return units;
}

double tax_of(const Unit& unit, const Parameters& p) {
    const double tax =
        p.rate * (unit.salary - std::max(unit.itemized, p.standard) - p.exempt * (1 + unit.married));
    if (!std::isfinite(tax)) {
        throw ModelError("a tax is beyond the range of a double: the parameters are too large");
    }
    return tax;
}

// Weighted totals and average tax rates. A band in which nobody earns has no rate, hence no entry.
std::string summary_json(const std::vector<Unit>& units, const std::vector<double>& taxes) {
    Sum revenue, wages, population;
    std::array<Band, 5> bands = {{
        {"rate_under_25k", 25'000.0},
        {"rate_25k_50k", 50'000.0},
        {"rate_50k_100k", 100'000.0},
        {"rate_100k_250k", 250'000.0},
        {"rate_over_250k", std::numeric_limits<double>::infinity()},
    }};
    for (std::size_t i = 0; i < units.size(); ++i) {
        const double weighted_tax = taxes[i] * units[i].weight;
        const double weighted_salary = units[i].salary * units[i].weight;
        revenue.add(weighted_tax);
        wages.add(weighted_salary);
        population.add(units[i].weight);
        auto band = bands.begin();
        while (units[i].salary >= band->upper) ++band;
        band->taxes.add(weighted_tax);
        band->wages.add(weighted_salary);
    }

    std::string json = "{\n  \"revenue\": " + text_of(revenue.value());
    const auto entry = [&json](std::string_view name, const std::string& value) {
        json.append(",\n  \"").append(name).append("\": ").append(value);
    };
    entry("units", std::to_string(units.size()));
    entry("population", text_of(population.value()));
    if (wages.value() > 0.0) entry("average_tax_rate", text_of(revenue.value() / wages.value()));
    for (const Band& band : bands) {
        if (band.wages.value() > 0.0) entry(band.name, text_of(band.taxes.value() / band.wages.value()));
    }
    return json + "\n}\n";
}

std::string output_csv(const std::vector<Unit>& units, const std::vector<double>& taxes, std::size_t input_size) {
    constexpr std::size_t kLongestTax = 32;
    std::string csv;
    csv.reserve(input_size + (units.size() + 1) * kLongestTax);
    csv.append(kUnitsHeader).append(",tax\n");
    std::array<char, kLongestTax> buffer;
    for (std::size_t i = 0; i < units.size(); ++i) {
        const auto tax = std::to_chars(buffer.data(), buffer.data() + buffer.size(), taxes[i]);
        csv.append(units[i].line).push_back(',');
        csv.append(buffer.data(), tax.ptr).push_back('\n');
    }
    return csv;
}

void run(const std::string& parameters_path, const std::string& units_path, const std::string& outputs) {
    const Parameters parameters = read_parameters(parameters_path);
    const std::string text = read_file(units_path);
    const std::vector<Unit> units = parse_units(units_path, text);
    std::vector<double> taxes(units.size());
    std::transform(units.begin(), units.end(), taxes.begin(),
                   [&](const Unit& unit) { return tax_of(unit, parameters); });
    const std::string summary = summary_json(units, taxes);
    write_file(outputs + "/output.csv", output_csv(units, taxes, text.size()));
    write_file(outputs + "/summary.json", summary);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fputs("usage: simple-tax PARAMETERS UNITS OUTPUTS\n", stderr);
        return 2;
    }
    try {
        run(argv[1], argv[2], argv[3]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "simple-tax: %s\n", error.what());
        return 1;
    }
    return 0;
}
