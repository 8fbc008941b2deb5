-- What each output format needs beyond Markdown: boxes, key figures, and the kind of image it can show.

local function has(div, class)
  return div.classes:includes(class)
end

local function raw(text)
  return pandoc.RawBlock('typst', text)
end

local function wrapped(opening, blocks, closing)
  local all = pandoc.Blocks({raw(opening)})
  all:extend(blocks)
  all:insert(raw(closing))
  return all
end

-- Word takes a style for paragraphs, not for the bare lines that a cell holds.
local function styled(name, blocks)
  local paragraphs = pandoc.Blocks(blocks):walk({Plain = function(plain) return pandoc.Para(plain.content) end})
  return pandoc.Blocks({pandoc.Div(paragraphs, pandoc.Attr('', {}, {['custom-style'] = name}))})
end

local function key_figures(div)
  local cells = div.content:filter(function(block) return block.t == 'Div' and has(block, 'keyfigure') end)
  if FORMAT:match 'typst' then
    local all = pandoc.Blocks({raw('#key-figures(')})
    for _, cell in ipairs(cells) do
      all:extend(wrapped('[', cell.content, '],'))
    end
    all:insert(raw(')'))
    return all
  end
  if FORMAT:match 'docx' then
    local aligns, widths, row = {}, {}, {}
    for index, cell in ipairs(cells) do
      local number, meaning = pandoc.Blocks({cell.content[1]}), pandoc.Blocks({table.unpack(cell.content, 2)})
      row[index] = styled('Key Figure', number) .. styled('Table Text', meaning)
      aligns[index], widths[index] = 'AlignCenter', 1 / #cells
    end
    local figures = pandoc.utils.from_simple_table(pandoc.SimpleTable({}, aligns, widths, {}, {row}))
    figures.classes = {'keyfigures'}
    return figures
  end
end

local function Div(div)
  if has(div, 'keyfigures') then
    return key_figures(div)
  end
  if has(div, 'banner') then
    if FORMAT:match 'typst' then
      return wrapped('#banner[', div.content, ']')
    end
    if FORMAT:match 'docx' then
      div.attributes['custom-style'] = 'Banner'
      return div
    end
  end
end

-- Word shows SVG only with a bitmap beside it; the bitmap alone is the same picture.
local function Image(image)
  if FORMAT:match 'docx' then
    image.src = image.src:gsub('%.svg$', '.png')
    image.attributes.width = '100%'
    return image
  end
end

-- A long header is broken at a blank, and its unit goes below its name, so that columns stay narrow.
local longest_line = 16

local function in_short_lines(inlines)
  local lines, length = pandoc.Inlines({}), 0
  for index, inline in ipairs(inlines) do
    local following = inlines[index + 1]
    local text = pandoc.utils.stringify(inline)
    local is_unit = following and pandoc.utils.stringify(following):match('^%(')
    local overflows = following and length + 1 + utf8.len(pandoc.utils.stringify(following)) > longest_line
    if inline.t == 'Str' and text:find('.（') then
      local at = text:find('（')
      lines:extend({pandoc.Str(text:sub(1, at - 1)), pandoc.LineBreak(), pandoc.Str(text:sub(at))})
    elseif inline.t == 'Space' and length > 0 and (is_unit or overflows) then
      lines:insert(pandoc.LineBreak())
      length = 0
    else
      lines:insert(inline)
      length = length + utf8.len(text)
    end
  end
  return lines
end

local function with_narrow_headers(tbl)
  for _, row in ipairs(tbl.head.rows) do
    for _, cell in ipairs(row.cells) do
      cell.contents = cell.contents:walk({Plain = function(plain) return pandoc.Plain(in_short_lines(plain.content)) end})
    end
  end
  return tbl
end

-- Letters across, a Chinese one counting as two; the longest line of a cell.
local function breadth(cell)
  local widest, current = 0, 0
  local function add(text)
    for _, code in utf8.codes(text) do
      current = current + (code >= 0x2e80 and 2 or 1)
    end
    widest = math.max(widest, current)
  end
  pandoc.Blocks(cell.contents):walk({
    traverse = 'topdown',
    Str = function(str) add(str.text) end,
    Code = function(code) add(code.text) end,
    Space = function() add(' ') end,
    LineBreak = function() current = 0 end,
  })
  return widest
end

local function all_rows(tbl)
  local rows = pandoc.List()
  rows:extend(tbl.head.rows)
  for _, body in ipairs(tbl.bodies) do
    rows:extend(body.body)
  end
  return rows
end

-- The broadest cell of every column, no broader than `most`.
local function breadths(tbl, most)
  local widths = {}
  for _, row in ipairs(all_rows(tbl)) do
    for column, cell in ipairs(row.cells) do
      widths[column] = math.max(widths[column] or 1, math.min(breadth(cell), most))
    end
  end
  return widths
end

-- Give columns their share of the text's width, which holds `room` letters at least; `margin` letters beside each text.
local function with_widths(tbl, widths, room, margin)
  local total = 0
  for _, width in ipairs(widths) do
    total = total + width + margin
  end
  for column, spec in ipairs(tbl.colspecs) do
    tbl.colspecs[column] = {spec[1], ((widths[column] or 1) + margin) / math.max(total, room)}
  end
  return tbl
end

-- Word has to be told how wide columns are and how small their letters.
local function for_word(tbl)
  tbl = with_widths(tbl, breadths(tbl, 60), 96, 3)
  for _, row in ipairs(all_rows(tbl)) do
    for _, cell in ipairs(row.cells) do
      cell.contents = styled('Table Text', cell.contents)
    end
  end
  return tbl
end

-- Typst gives long texts no more room than short ones beside them, unless it is told to. Rows are counted in lines.
local longest_text, lines_of_a_page = 60, 32

local function for_typst(tbl)
  local widths = breadths(tbl, 64)
  local has_text = math.max(table.unpack(widths)) > longest_text
  local lines = 0
  for _, row in ipairs(all_rows(tbl)) do
    local broadest = 1
    for _, cell in ipairs(row.cells) do
      broadest = math.max(broadest, breadth(cell))
    end
    lines = lines + math.ceil(broadest / longest_text)
  end
  if has_text then
    tbl = with_widths(tbl, widths, 1, 6)
  end
  if lines > lines_of_a_page then
    return tbl
  end
  return wrapped('#block(breakable: false, width: 100%)[', pandoc.Blocks({tbl}), ']')
end

-- A wide table scrolls inside its own box on a narrow screen; on paper, one that fits on a page stays on one.
local function Table(tbl)
  tbl = with_narrow_headers(tbl)
  if FORMAT:match 'html' then
    return pandoc.Div(tbl, pandoc.Attr('', {'table'}))
  end
  if FORMAT:match 'docx' then
    return has(tbl, 'keyfigures') and tbl or for_word(tbl)
  end
  return FORMAT:match 'typst' and for_typst(tbl) or tbl
end

return {{Div = Div}, {Image = Image, Table = Table}}
