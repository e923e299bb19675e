! The simple tax model: one flat tax on wages, for every filing unit of a file.
!
!     simple-tax PARAMETERS UNITS OUTPUTS
!
! tax = RATE * (salary - max(itemized, STANDARD) - EXEMPT * (1 + married)), with no floor at zero.
!
! Writes OUTPUTS/output.csv: every unit with its tax; summarize.py makes the summary from it. Whatever is wrong
! ends the model with one line on standard error and a status other than zero.

! Reading and writing whole files, and numbers as text.
module text_files
  use, intrinsic :: iso_fortran_env, only: dp => real64, int64, error_unit
  use, intrinsic :: iso_c_binding, only: c_int, c_char, c_null_char
  use, intrinsic :: ieee_arithmetic, only: ieee_is_finite
  implicit none
  private
  public :: fail, read_file, write_file, next_line, next_field, occurrences, trimmed, quoted, text_of, to_number, &
    to_integer

  character, parameter :: newline = achar(10), carriage_return = achar(13), tab = achar(9)

  ! Exactly representable, hence one multiplication or division by them rounds once.
  real(dp), parameter :: powers_of_ten(0:22) = [1e0_dp, 1e1_dp, 1e2_dp, 1e3_dp, 1e4_dp, 1e5_dp, 1e6_dp, 1e7_dp, &
    1e8_dp, 1e9_dp, 1e10_dp, 1e11_dp, 1e12_dp, 1e13_dp, 1e14_dp, 1e15_dp, 1e16_dp, 1e17_dp, 1e18_dp, 1e19_dp, &
    1e20_dp, 1e21_dp, 1e22_dp]

  interface text_of
    procedure text_of_integer, text_of_int64, text_of_real
  end interface

  interface   ! Fortran has no way of its own to rename or remove a file.
    function c_rename(from, to) bind(c, name="rename") result(status)
      import :: c_int, c_char
      character(kind=c_char), intent(in) :: from(*), to(*)
      integer(c_int) :: status
    end function
    function c_remove(path) bind(c, name="remove") result(status)
      import :: c_int, c_char
      character(kind=c_char), intent(in) :: path(*)
      integer(c_int) :: status
    end function
  end interface

contains

  ! Ends the model, saying what is wrong in one line.
  subroutine fail(message)
    character(len=*), intent(in) :: message
    write (error_unit, "(a)") "simple-tax: " // message
    stop 1, quiet=.true.
  end subroutine

  function read_file(path) result(text)
    character(len=*), intent(in) :: path
    character(len=:), allocatable :: text
    character(len=512) :: message
    integer :: unit, status
    integer(int64) :: length
    open (newunit=unit, file=path, access="stream", form="unformatted", status="old", action="read", &
      iostat=status, iomsg=message)
    if (status /= 0) call fail(path // ": cannot read: " // trim(message))
    inquire (unit=unit, size=length)
    allocate (character(len=max(length, 0_int64)) :: text)
    if (len(text) > 0) then
      read (unit, iostat=status, iomsg=message) text
      if (status /= 0) call fail(path // ": cannot read: " // trim(message))
    end if
    close (unit)
  end function

  ! Writes a whole file or none: a disk that fills up leaves no part behind under the name.
  subroutine write_file(path, text)
    character(len=*), intent(in) :: path, text
    character(len=:), allocatable :: part
    character(len=512) :: message
    integer :: unit, status, ignored
    integer(int64) :: written
    part = path // ".part"
    open (newunit=unit, file=part, access="stream", form="unformatted", status="replace", action="write", &
      iostat=status, iomsg=message)
    if (status /= 0) call fail(path // ": cannot write: " // trim(message))
    write (unit, iostat=status, iomsg=message) text
    if (status == 0) flush (unit, iostat=status, iomsg=message)   ! close alone would hide a full disk
    close (unit, iostat=ignored)
    inquire (file=part, size=written)
    if (status == 0 .and. written /= len(text)) then    ! libgfortran takes a short write for a good one
      message = "only " // text_of(written) // " of " // text_of(len(text)) // " bytes could be written"
      status = 1
    end if
    if (status == 0) then
      message = "cannot rename " // part
      status = c_rename(part // c_null_char, path // c_null_char)
    end if
    if (status /= 0) then
      ignored = c_remove(part // c_null_char)
      call fail(path // ": cannot write: " // trim(message))
    end if
  end subroutine

  ! The line text(first:last) that begins at `position`, without its end (LF or CRLF); moves `position` behind it.
  subroutine next_line(text, position, first, last)
    character(len=*), intent(in) :: text
    integer, intent(inout) :: position
    integer, intent(out) :: first, last
    integer :: length
    first = position
    length = index(text(first:), newline) - 1
    if (length < 0) length = len(text) - first + 1
    last = first + length - 1
    position = last + 2
    if (last >= first) then
      if (text(last:last) == carriage_return) last = last - 1
    end if
  end subroutine

  ! The field line(first:last) that begins at `position`; moves `position` behind the comma after it.
  subroutine next_field(line, position, first, last)
    character(len=*), intent(in) :: line
    integer, intent(inout) :: position
    integer, intent(out) :: first, last
    first = position
    last = first
    do while (last <= len(line))
      if (line(last:last) == ",") exit
      last = last + 1
    end do
    position = last + 1
    last = last - 1
  end subroutine

  pure integer function occurrences(text, c)
    character(len=*), intent(in) :: text
    character, intent(in) :: c
    integer :: i
    occurrences = 0
    do i = 1, len(text)
      if (text(i:i) == c) occurrences = occurrences + 1
    end do
  end function

  ! Without blanks and tabs at either end.
  function trimmed(text) result(inner)
    character(len=*), intent(in) :: text
    character(len=:), allocatable :: inner
    integer :: first, last
    first = max(verify(text, " " // tab), 1)
    last = verify(text, " " // tab, back=.true.)
    inner = text(first:last)
  end function

  ! User text that is safe and short enough to stand inside a message.
  function quoted(text) result(shown)
    character(len=*), intent(in) :: text
    character(len=:), allocatable :: shown
    integer :: i
    shown = text
    if (len(text) > 40) shown = text(:37) // "..."
    do i = 1, len(shown)
      if (iachar(shown(i:i)) < 32 .or. iachar(shown(i:i)) > 126) shown(i:i) = "?"
    end do
    shown = '"' // shown // '"'
  end function

  function text_of_integer(value) result(text)
    integer, intent(in) :: value
    character(len=:), allocatable :: text
    text = text_of_int64(int(value, int64))
  end function

  function text_of_int64(value) result(text)
    integer(int64), intent(in) :: value
    character(len=:), allocatable :: text
    character(len=24) :: buffer
    write (buffer, "(i0)") value
    text = trim(buffer)
  end function

  ! Seventeen digits: whoever reads them back has the same number.
  function text_of_real(value) result(text)
    real(dp), intent(in) :: value
    character(len=:), allocatable :: text
    character(len=24) :: buffer
    write (buffer, "(es24.16e3)") value
    text = trim(adjustl(buffer))
  end function

  ! Whether the whole text is a whole number of up to eighteen digits.
  logical function to_integer(text, value)
    character(len=*), intent(in) :: text
    integer(int64), intent(out) :: value
    integer :: i
    value = 0
    to_integer = len(text) > 0 .and. len(text) <= 18 .and. verify(text, "0123456789") == 0
    if (.not. to_integer) return
    do i = 1, len(text)
      value = 10 * value + (iachar(text(i:i)) - iachar("0"))
    end do
  end function

  ! Whether the whole text spells a finite number: [-]digits[.digits][e[+-]digits]. A list-directed read alone
  ! would also take "1,2", "2*3", "nan", "/" and half of "12 x".
  logical function to_number(text, value)
    character(len=*), intent(in) :: text
    real(dp), intent(out) :: value
    integer(int64) :: mantissa
    integer :: i, digits, decimals, exponent, status, exponent_digits
    logical :: after_point, negative, negative_exponent
    character :: c

    to_number = .false.
    value = 0
    mantissa = 0; digits = 0; decimals = 0; exponent = 0
    after_point = .false.
    negative = len(text) > 0 .and. index(text, "-") == 1
    i = merge(2, 1, negative)
    do while (i <= len(text))
      c = text(i:i)
      if (c >= "0" .and. c <= "9") then
        digits = digits + 1
        if (digits <= 15) mantissa = 10 * mantissa + (iachar(c) - iachar("0"))
        if (after_point) decimals = decimals + 1
      else if (c == "." .and. .not. after_point) then
        after_point = .true.
      else
        exit
      end if
      i = i + 1
    end do
    if (digits == 0) return

    if (i <= len(text)) then    ! only an exponent may follow
      if (text(i:i) /= "e" .and. text(i:i) /= "E") return
      i = i + 1
      if (i > len(text)) return
      negative_exponent = text(i:i) == "-"
      if (negative_exponent .or. text(i:i) == "+") i = i + 1
      exponent_digits = 0
      do while (i <= len(text))
        c = text(i:i)
        if (c < "0" .or. c > "9") return
        exponent_digits = exponent_digits + 1
        exponent = min(10 * exponent + (iachar(c) - iachar("0")), 99999)
        i = i + 1
      end do
      if (exponent_digits == 0) return
      if (negative_exponent) exponent = -exponent
    end if

    exponent = exponent - decimals
    if (digits <= 15 .and. abs(exponent) <= 22) then
      value = real(mantissa, dp)      ! exact, and so is the power: one rounding in all
      if (exponent >= 0) value = value * powers_of_ten(exponent)
      if (exponent < 0) value = value / powers_of_ten(-exponent)
      if (negative) value = -value
    else
      read (text, *, iostat=status) value
      if (status /= 0) return
    end if
    to_number = ieee_is_finite(value)
  end function

end module

! The model itself.
module simple_tax_model
  use, intrinsic :: iso_fortran_env, only: dp => real64, int64
  use, intrinsic :: ieee_arithmetic, only: ieee_is_finite
  use text_files
  implicit none
  private
  public :: parameter_values, filing_unit, read_parameters, parse_units, tax_of, output_csv

  character(len=*), parameter :: units_header = "unit_id,itemized,salary,married,weight"
  character(len=*), parameter :: expected_parameters = "expected RATE, STANDARD, EXEMPT"
  character, parameter :: newline = achar(10)
  character(len=*), parameter :: too_large = &
    "a tax is beyond the range of a double: the parameters are too large"

  type :: parameter_values
    real(dp) :: rate, standard, exempt
  end type

  type :: filing_unit
    integer :: first, last        ! where its line lies in the text, so that the output repeats it digit by digit
    real(dp) :: itemized, salary, weight
    integer :: married
  end type

contains

  ! Every parameter exactly once, by name, from lines of NAME,value.
  function read_parameters(path) result(parameters)
    character(len=*), intent(in) :: path
    type(parameter_values) :: parameters
    character(len=*), parameter :: names(3) = [character(len=8) :: "RATE", "STANDARD", "EXEMPT"]
    character(len=:), allocatable :: text, line, name, place
    real(dp) :: values(3)
    logical :: given(3)
    integer :: position, first, last, comma, i, number, cells

    text = read_file(path)
    given = .false.
    position = 1
    number = 0
    do while (position <= len(text))
      call next_line(text, position, first, last)
      number = number + 1
      line = text(first:last)
      if (trimmed(line) == "") cycle
      place = path // ":" // text_of(number) // ": "
      comma = index(line // ",", ",")
      name = trimmed(line(:comma - 1))
      i = position_of(name, names)
      if (i == 0) call fail(place // "unknown parameter " // quoted(name) // "; " // expected_parameters)
      if (given(i)) call fail(place // "parameter " // name // " is given twice")
      cells = occurrences(line, ",")
      if (cells /= 1) call fail(place // name // ": expected one value, found " // text_of(cells))
      if (.not. to_number(trimmed(line(comma + 1:)), values(i))) then
        call fail(place // name // ": expected a finite number, found " // quoted(trimmed(line(comma + 1:))))
      end if
      given(i) = .true.
    end do
    do i = 1, size(names)
      if (.not. given(i)) call fail(path // ": parameter " // trim(names(i)) // " is missing; " // &
        expected_parameters // ", one NAME,value to a line")
    end do
    parameters = parameter_values(rate=values(1), standard=values(2), exempt=values(3))
  end function

  ! Where the name stands among the names; 0 when it does not.
  pure integer function position_of(name, names)
    character(len=*), intent(in) :: name, names(:)
    do position_of = size(names), 1, -1
      if (len(name) == len_trim(names(position_of)) .and. name == names(position_of)) return
    end do
  end function

  ! The rows of the units file, whose text the rows point into.
  function parse_units(path, text) result(units)
    character(len=*), intent(in) :: path, text
    type(filing_unit), allocatable :: units(:)
    character(len=:), allocatable :: problem
    integer(int64) :: unit_id_before
    integer :: position, first, last, rows, row

    if (len(text) == 0) call fail(path // ": the file is empty; expected the header " // units_header)
    position = 1
    call next_line(text, position, first, last)
    ! Compared with the length, since Fortran pads the shorter side of a comparison with blanks.
    if (last - first + 1 /= len(units_header) .or. text(first:last) /= units_header) then
      call fail(path // ":1: expected the header " // units_header // ", found " // quoted(text(first:last)))
    end if
    rows = occurrences(text(position:), newline)
    if (len(text) >= position .and. text(len(text):) /= newline) rows = rows + 1    ! the last line has no end
    if (rows == 0) call fail(path // ": no filing units after the header")

    allocate (units(rows))
    unit_id_before = 0
    do row = 1, rows
      call next_line(text, position, first, last)
      units(row)%first = first
      units(row)%last = last
      call parse_unit(text(first:last), units(row), unit_id_before, problem)
      if (allocated(problem)) call fail(path // ":" // text_of(row + 1) // ": " // problem)
    end do
  end function

  ! One row; `problem` stays unallocated when it is good.
  subroutine parse_unit(line, unit, unit_id_before, problem)
    character(len=*), intent(in) :: line
    type(filing_unit), intent(inout) :: unit
    integer(int64), intent(inout) :: unit_id_before
    character(len=:), allocatable, intent(out) :: problem
    integer :: first(5), last(5), position, fields, i
    integer(int64) :: unit_id

    fields = occurrences(line, ",") + 1
    if (fields /= 5) then
      problem = "expected 5 fields, found " // text_of(fields)
      return
    end if
    position = 1
    do i = 1, 5
      call next_field(line, position, first(i), last(i))
    end do

    if (.not. to_integer(line(first(1):last(1)), unit_id)) then
      problem = "unit_id: expected a whole number, found " // quoted(line(first(1):last(1)))
      return
    end if
    if (unit_id <= unit_id_before) then
      problem = "unit_id: expected more than " // text_of(unit_id_before) // " of the row before, found " // &
        quoted(line(first(1):last(1)))
      return
    end if
    unit_id_before = unit_id

    call parse_amount("itemized", line(first(2):last(2)), unit%itemized, problem)
    if (allocated(problem)) return
    call parse_amount("salary", line(first(3):last(3)), unit%salary, problem)
    if (allocated(problem)) return

    if (last(4) /= first(4) .or. verify(line(first(4):last(4)), "01") /= 0) then
      problem = "married: expected 0 or 1, found " // quoted(line(first(4):last(4)))
      return
    end if
    unit%married = iachar(line(first(4):first(4))) - iachar("0")

    if (to_number(line(first(5):last(5)), unit%weight)) then
      if (unit%weight > 0) return
    end if
    problem = "weight: expected a finite number above 0, found " // quoted(line(first(5):last(5)))
  end subroutine

  subroutine parse_amount(column, text, value, problem)
    character(len=*), intent(in) :: column, text
    real(dp), intent(out) :: value
    character(len=:), allocatable, intent(inout) :: problem
    if (to_number(text, value) .and. index(text, "-") /= 1) return
    problem = column // ": expected a finite number of at least 0, found " // quoted(text)
  end subroutine

  real(dp) function tax_of(unit, parameters)
    type(filing_unit), intent(in) :: unit
    type(parameter_values), intent(in) :: parameters
    associate (p => parameters)
      tax_of = p%rate * (unit%salary - max(unit%itemized, p%standard) - p%exempt * (1 + unit%married))
    end associate
    if (.not. ieee_is_finite(tax_of)) call fail(too_large)
  end function

  ! The rows of the units file, each with its tax.
  function output_csv(text, units, taxes) result(csv)
    character(len=*), intent(in) :: text
    type(filing_unit), intent(in) :: units(:)
    real(dp), intent(in) :: taxes(:)
    character(len=:), allocatable :: csv
    integer, parameter :: longest_tax = 26     ! with the comma and the line end
    integer :: filled, i
    allocate (character(len=len(text) + longest_tax * (size(units) + 1)) :: csv)
    filled = 0
    call append(units_header // ",tax" // newline)
    do i = 1, size(units)
      call append(text(units(i)%first:units(i)%last))
      call append("," // text_of(taxes(i)) // newline)
    end do
    csv = csv(:filled)
  contains
    subroutine append(piece)
      character(len=*), intent(in) :: piece
      csv(filled + 1:filled + len(piece)) = piece
      filled = filled + len(piece)
    end subroutine
  end function

end module

program simple_tax
  use, intrinsic :: iso_fortran_env, only: dp => real64, error_unit
  use text_files, only: read_file, write_file
  use simple_tax_model
  implicit none
  character(len=:), allocatable :: text, units_path
  type(parameter_values) :: parameters
  type(filing_unit), allocatable :: units(:)
  real(dp), allocatable :: taxes(:)
  integer :: i

  if (command_argument_count() /= 3) then
    write (error_unit, "(a)") "usage: simple-tax PARAMETERS UNITS OUTPUTS"
    stop 2, quiet=.true.
  end if
  parameters = read_parameters(argument(1))
  units_path = argument(2)
  text = read_file(units_path)
  units = parse_units(units_path, text)
  allocate (taxes(size(units)))
  do i = 1, size(units)
    taxes(i) = tax_of(units(i), parameters)
  end do
  call write_file(argument(3) // "/output.csv", output_csv(text, units, taxes))

contains

  ! A command line argument at its full length.
  function argument(number) result(value)
    integer, intent(in) :: number
    character(len=:), allocatable :: value
    integer :: length
    call get_command_argument(number, length=length)
    allocate (character(len=length) :: value)
    call get_command_argument(number, value)
  end function

end program
